// A WinForms client's data layer as such teams write it: DTOs without attributes, read by Newtonsoft.Json.
// Prints one line for each call, so that a test can compare what arrived with what was recorded.
//   Client.exe BASE_ADDRESS PICTURE.jpg
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Net;
using System.Text;
using Newtonsoft.Json;

public class InspectionDto
{
    public int Id { get; set; }
    public string CameraId { get; set; }
    public string DefectType { get; set; }
    public double Confidence { get; set; }
    public DateTime InspectionTime { get; set; }
    public string ImagePath { get; set; }
}

public class PaginationDto
{
    public int Page { get; set; }
    public int Limit { get; set; }
    public int Total { get; set; }
    public int TotalPages { get; set; }
}

public class InspectionListDto
{
    public string Status { get; set; }
    public List<InspectionDto> Data { get; set; }
    public PaginationDto Pagination { get; set; }
}

public class StatisticsDto
{
    public int TotalInspections { get; set; }
    public int NormalCount { get; set; }
    public int ComponentDefectCount { get; set; }
    public int SolderDefectCount { get; set; }
    public int DiscardCount { get; set; }
    public double DefectRate { get; set; }
}

public class SystemStatusDto
{
    public bool ServerOnline { get; set; }
    public bool DatabaseOnline { get; set; }
    public bool RaspberryPi1Online { get; set; }
    public bool RaspberryPi2Online { get; set; }
    public double ServerCpuUsage { get; set; }
    public double ServerMemoryUsage { get; set; }
    public double ServerGpuUsage { get; set; }
    public DateTime LastUpdate { get; set; }
}

public class PredictionDto
{
    public string Status { get; set; }
    public string CameraId { get; set; }
    public string DefectType { get; set; }
    public double Confidence { get; set; }
    public int InspectionId { get; set; }
    public double InferenceTimeMs { get; set; }
}

public static class Program
{
    static string Base;

    static string Get(string path)
    {
        using (var web = new WebClient { Encoding = Encoding.UTF8 })
            return web.DownloadString(Base + path);
    }

    static string Post(string path, object body)
    {
        using (var web = new WebClient { Encoding = Encoding.UTF8 })
        {
            web.Headers[HttpRequestHeader.ContentType] = "application/json";
            return web.UploadString(Base + path, JsonConvert.SerializeObject(body));
        }
    }

    static void Say(params object[] parts)
    {
        var texts = Array.ConvertAll(parts, each => Convert.ToString(each, CultureInfo.InvariantCulture));
        Console.WriteLine(string.Join("|", texts));
    }

    public static int Main(string[] arguments)
    {
        Console.OutputEncoding = new UTF8Encoding(false);
        Base = arguments[0];
        var list = JsonConvert.DeserializeObject<InspectionListDto>(Get("/api/inspections?page=1&limit=50"));
        Say("list", list.Status, list.Pagination.Page, list.Pagination.Limit, list.Pagination.Total, list.Pagination.TotalPages);
        foreach (var each in list.Data)
            Say("inspection", each.Id, each.CameraId, each.DefectType, each.Confidence,
                each.InspectionTime.ToUniversalTime().ToString("yyyy-MM-ddTHH:mm:ss.fffZ"), each.ImagePath);
        var counts = JsonConvert.DeserializeObject<StatisticsDto>(Get("/api/statistics"));
        Say("statistics", counts.TotalInspections, counts.NormalCount, counts.ComponentDefectCount,
            counts.SolderDefectCount, counts.DiscardCount, counts.DefectRate);
        var status = JsonConvert.DeserializeObject<SystemStatusDto>(Get("/api/system-status"));
        Say("status", status.ServerOnline, status.DatabaseOnline, status.RaspberryPi1Online, status.RaspberryPi2Online,
            status.LastUpdate.Year);
        foreach (var each in list.Data)
            if (each.ImagePath != null)
            {
                using (var web = new WebClient())
                    Say("picture", each.Id, web.DownloadData(each.ImagePath).Length);
                break;
            }
        var frame = Convert.ToBase64String(File.ReadAllBytes(arguments[1]));
        var found = JsonConvert.DeserializeObject<PredictionDto>(
            Post("/predict", new { camera_id = "left", frame, timestamp = "2026-12-01T00:00:00" }));
        Say("prediction", found.Status, found.CameraId, found.DefectType, found.InspectionId);
        return 0;
    }
}
